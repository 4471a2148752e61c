/** What can be relied on in a failed request: texts of stores differ, some send none. */
export interface Failure {
  readonly status: number | undefined;
  /** S3's error code, or the system's for a connection that failed. */
  readonly code: string | undefined;
}

/** The settings that a sentence may tell people to check, as they are called where people set them. */
export interface SettingNames {
  readonly id: string;
  readonly secret: string;
  /** Both of them. */
  readonly keys: string;
  readonly region: string;
  readonly endpoint: string;
  readonly bucket: string;
}

/** How a store is called and spoken of. */
export interface StoreNames {
  /** Of the addresses that people see: `s3` for s3://bucket/key. */
  readonly scheme: string;
  readonly settings: SettingNames;
  /**
   * What a refusal of this store means where that differs from S3's, as the end of `Cannot write …: `; `said` is the
   * answer's own text. Undefined: what it means everywhere.
   */
  readonly explain?: (failure: Failure, said: string, words: StoreWords) => string | undefined;
}

/** What an error needs to know about the store to be of use to people. */
export interface StoreWords {
  /** `Cannot write s3://bucket/key`. */
  readonly failed: string;
  readonly bucket: string;
  /** The address as configured, or undefined where the SDK finds it (AWS itself). */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly names: StoreNames;
}

/** R2's and any S3 service's; `ownKeys` is false where the SDK's own credential chain is at work. */
export function r2Names(ownKeys: boolean): StoreNames {
  return {
    scheme: 's3',
    settings: {
      id: ownKeys ? 'R2_ACCESS_KEY_ID' : 'AWS_ACCESS_KEY_ID or the AWS profile',
      secret: ownKeys ? 'R2_SECRET_ACCESS_KEY' : 'AWS_SECRET_ACCESS_KEY or the AWS profile',
      keys: ownKeys
        ? 'R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY'
        : 'R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY and R2_ENDPOINT, or the AWS credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE, …)',
      region: ownKeys ? 'R2_REGION' : 'R2_REGION or AWS_REGION',
      endpoint: 'R2_ENDPOINT',
      bucket: 'R2_BUCKET',
    },
  };
}

/** `404 NoSuchBucket`, or what of it there is. */
export function foundText({ status, code }: Failure): string {
  return [status, code].filter((part) => part !== undefined).join(' ');
}
