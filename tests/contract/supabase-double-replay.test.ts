import { afterAll, describe, expect, test } from 'bun:test';
import {
  type RecordedExchange,
  recordedDialogues,
  recordedOverS3,
} from '../support/supabase-double/recorded.ts';
import { type Difference, replay } from '../support/supabase-double/replay.ts';
import { type SupabaseDouble, startSupabaseDouble } from '../support/supabase-double/supabase-double.ts';

/** What our clients never ask, by the beginnings of names, or of paths. */
const LEFT_OUT: readonly { readonly why: string; readonly of: RegExp }[] = [
  { why: 'signed URLs: our clients hold the service key', of: /^(sign|uploadSign)\.|\/sign(\/|$|\?)/ },
  { why: 'emptying a bucket: nothing of ours does', of: /^bucket\.empty/ },
  { why: 'forms: supabase-js makes them of Blobs alone', of: /form(Data)?$/ },
  { why: 'service routes', of: /^service\./ },
  { why: 'aws-chunked bodies: switched off on the client', of: /^PutObject aws-chunked/ },
  { why: 'a body that the web framework reads as JSON, and refuses', of: /^json content-type$/ },
  { why: 'pages after the first are cut by ids, which are random', of: /^ListMultipartUploads next$/ },
];

const GLOBAL_LIMIT = 20_971_520;

describe('the double of Supabase Storage answers what the real one answered', () => {
  const opened: { stop(): Promise<void> }[] = [];
  afterAll(async () => {
    for (const double of opened) await double.stop();
  });

  const start = async () => {
    const double = await startSupabaseDouble({ backend: 'file' });
    opened.push(double);
    double.setGlobalLimit(GLOBAL_LIMIT);
    return double;
  };

  const isLeftOut = ({ name, request }: RecordedExchange) =>
    LEFT_OUT.some(({ of }) => of.test(name) || of.test(request.path.replace('/storage/v1', '')));

  test('at the REST door (rest.json)', async () => {
    const double = await start();
    const differences: Difference[] = [];
    for (const dialogue of await recordedDialogues('rest.json')) {
      differences.push(...(await replay(double, dialogue, isLeftOut)));
    }
    expect(differences).toEqual([]);
  });

  test('at the door of resumable uploads (tus.json)', async () => {
    const double = await start();
    const differences: Difference[] = [];
    for (const dialogue of await recordedDialogues('tus.json')) {
      // With tokens that signed URLs were made of.
      if (dialogue.name === 'signed upload') continue;
      differences.push(...(await replay(double, dialogue, isLeftOut)));
    }
    expect(differences).toEqual([]);
  });

  test('at the S3 door over files (s3.json)', async () => {
    const double = await start();
    await double.makeBucket('t');
    await double.makeBucket('tsmall');
    const differences: Difference[] = [];
    for (const dialogue of await recordedDialogues('s3.json')) {
      // A step that was recorded and left out afterwards.
      if (dialogue.name === 'GetObject and HeadObject') await putText(double, 's3b/a/one.txt', 'hello again');
      differences.push(...(await replay(double, dialogue, isLeftOut)));
    }
    expect(differences).toEqual([]);
  });
});

const probe = await startSupabaseDouble();
const hasS3Server = probe.s3 !== undefined;
await probe.stop();

describe.skipIf(!hasS3Server)(
  'the double over a real S3 server answers what the real one over S3 did',
  () => {
    const OVER_S3: typeof LEFT_OUT = [
      ...LEFT_OUT,
      { why: 'several ranges at once', of: /range[. ]multiple$/ },
      { why: 'a condition that our clients do not set', of: /^get\.ifModifiedSince$/ },
      {
        why: 'uploads that are still open then were not recorded again over S3',
        of: /^ListMultipartUploads$/,
      },
    ];
    /** Of a chunk that was cut the other store had taken less; and nothing of ours is without a byte. */
    const DIALOGUES = ['signed upload', 'zero length', 'cut inside a chunk', 'cut chunked PATCH'];
    const isLeftOut = ({ name, request }: RecordedExchange) =>
      OVER_S3.some(({ of }) => of.test(name) || of.test(request.path.replace('/storage/v1', '')));

    for (const section of ['rest', 'tus', 's3'] as const) {
      test(`at the door of ${section}.json (backend-s3.json)`, async () => {
        const double = await startSupabaseDouble({ production: true });
        try {
          double.setGlobalLimit(GLOBAL_LIMIT);
          if (section === 's3') for (const bucket of ['t', 'tsmall']) await double.makeBucket(bucket);
          const differences: Difference[] = [];
          for (const dialogue of await recordedOverS3(section)) {
            if (DIALOGUES.includes(dialogue.name)) continue;
            if (dialogue.name === 'GetObject and HeadObject')
              await putText(double, 's3b/a/one.txt', 'hello again');
            differences.push(...(await replay(double, dialogue, isLeftOut, 's3')));
          }
          expect(differences).toEqual([]);
        } finally {
          await double.stop();
        }
      });
    }
  },
);

async function putText(double: SupabaseDouble, path: string, body: string): Promise<void> {
  const answer = await fetch(`${double.url}/storage/v1/object/${path}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${double.keys.service}`, 'content-type': 'text/plain' },
    body,
  });
  expect(answer.status).toBe(200);
}
