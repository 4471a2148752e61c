const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>';
const NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

/** Elements in order; undefined ones are left out. */
export type XmlContent = string | number | boolean | readonly (readonly [string, XmlContent | undefined])[];

export function xmlAnswer(root: string, content: XmlContent, status = 200): Response {
  const text = `${HEAD}<${root}${NAMESPACE}>${xml(content)}</${root}>`;
  return new Response(text, {
    status,
    headers: {
      'content-type': 'application/xml; charset=utf-8',
      'content-length': String(Buffer.byteLength(text)),
    },
  });
}

function xml(content: XmlContent): string {
  if (typeof content !== 'object') return escapeText(String(content));
  return content
    .map(([name, inner]) => {
      if (inner === undefined) return '';
      const text = xml(inner);
      return text === '' ? `<${name}/>` : `<${name}>${text}</${name}>`;
    })
    .join('');
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The text of all elements of a name. Requests of S3 clients are flat enough for it. */
export function elementsOf(text: string, name: string): string[] {
  return [...text.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))].map(([, inner = '']) =>
    inner
      .replaceAll('&quot;', '"')
      .replaceAll('&#34;', '"')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&'),
  );
}
