/** Ends a program whose failures were all told to the user already, with this exit code. */
export class ToldFailure extends Error {
  // A literal: minifying mangles constructor.name.
  override readonly name = 'ToldFailure';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('What failed was told already.');
    this.exitCode = exitCode;
  }
}
