import {
  type RecordedDialogue,
  type RecordedExchange,
  recordedDialogues,
  recordedOverS3,
} from '../support/supabase-double/recorded.ts';

/** What a real Supabase Storage answered. */
export interface RecordedAnswer {
  /** `tus / creation errors / missing bucket`; `backend-s3 / rest / key.len1024` where the server keeps its data in S3. */
  readonly name: string;
  readonly method: string;
  /** `<service_role JWT>` and the like; empty where none was sent. */
  readonly credential: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** All by REST and for resumable uploads; of servers that keep data in S3 those that differ. */
export async function recordedAnswers(): Promise<readonly RecordedAnswer[]> {
  const answers: RecordedAnswer[] = [];
  for (const section of ['rest', 'tus'] as const) {
    const own = answersOf(section, await recordedDialogues(`${section}.json`));
    const onS3 = answersOf(section, await recordedOverS3(section));
    const differing = onS3.filter((answer, at) => !Bun.deepEquals(answer, own[at]));
    answers.push(...own, ...differing.map((answer) => ({ ...answer, name: `backend-s3 / ${answer.name}` })));
  }
  return answers;
}

function answersOf(section: string, dialogues: readonly RecordedDialogue[]): RecordedAnswer[] {
  return dialogues.flatMap((dialogue) =>
    dialogue.exchanges.flatMap((exchange) => {
      const names = [section, dialogue.name, exchange.name].filter((name) => name !== '');
      return answerOf(names.join(' / '), exchange);
    }),
  );
}

function answerOf(name: string, { request, response }: RecordedExchange): RecordedAnswer[] {
  const { status, headers = {}, body = '' } = response;
  // A connection that was cut has no answer.
  if (status === undefined) return [];
  const credential = (request.headers.authorization ?? '').replace('Bearer ', '');
  return [{ name, method: request.method, credential, status, headers, body }];
}
