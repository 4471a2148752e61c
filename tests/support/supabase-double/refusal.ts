/** What Supabase Storage answers when it refuses; each door has its own way of writing it down. */
export class StorageRefusal extends Error {
  override readonly name = 'StorageRefusal';

  constructor(
    /** Its status at the resumable and the S3 door, and `statusCode` in the REST door's body. */
    readonly status: number,
    readonly error: string,
    message: string,
    readonly code: string,
    /** The REST door's own status: 400 for nearly everything. */
    readonly restStatus = 400,
  ) {
    super(message);
  }
}

export const refusals = {
  noBucket: () => new StorageRefusal(404, 'Bucket not found', 'Bucket not found', 'NoSuchBucket'),
  noKey: () => new StorageRefusal(404, 'not_found', 'Object not found', 'NoSuchKey'),
  noUpload: () => new StorageRefusal(404, 'not_found', 'Upload not found', 'NoSuchUpload'),
  exists: (code: 'KeyAlreadyExists' | 'BucketAlreadyExists' | 'ResourceAlreadyExists') =>
    new StorageRefusal(409, 'Duplicate', 'The resource already exists', code),
  tooLarge: () =>
    new StorageRefusal(
      413,
      'Payload too large',
      'The object exceeded the maximum allowed size',
      'EntityTooLarge',
    ),
  mimeType: (message: string) => new StorageRefusal(415, 'invalid_mime_type', message, 'InvalidMimeType'),
  key: (key: string) => new StorageRefusal(400, 'InvalidKey', `Invalid key: ${key}`, 'InvalidKey'),
  bucketName: () => new StorageRefusal(400, 'Invalid Input', 'Bucket name invalid', 'InvalidBucketName'),
  denied: (message: string) => new StorageRefusal(403, 'Unauthorized', message, 'AccessDenied'),
  rowSecurity: () => refusals.denied('new row violates row-level security policy'),
  request: (message: string) => new StorageRefusal(400, 'Error', message, 'InvalidRequest'),
  parameter: (name: string) =>
    new StorageRefusal(400, 'InvalidParameter', `Invalid Parameter ${name}`, 'InvalidParameter'),
  range: () => new StorageRefusal(416, 'invalid_range', 'invalid range provided', 'InvalidRange', 416),
  notEmpty: () =>
    new StorageRefusal(
      409,
      'ResourceNotEmpty',
      'The bucket you tried to delete is not empty',
      'ResourceNotEmpty',
    ),
  internal: () => new StorageRefusal(500, 'Internal', 'Internal Server Error', 'InternalError', 500),
} as const;
