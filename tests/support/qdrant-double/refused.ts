/** A refusal, as either protocol words it. */
export class Refused extends Error {
  override readonly name = 'Refused';

  constructor(
    /** HTTP status or gRPC code. */
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** How an answer is refused. (`expect().rejects` stands still where the server shares the process over HTTP/2.) */
export async function refusalOf(answer: Promise<unknown>): Promise<Refused> {
  try {
    await answer;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new Error('it was not refused');
}
