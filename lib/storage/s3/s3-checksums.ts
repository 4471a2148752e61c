/** MD5 of a part: S3's Content-MD5, and what its entity tags are made of. */
export function md5Of(bytes: Uint8Array): Uint8Array {
  return new Bun.CryptoHasher('md5').update(bytes).digest();
}

export function hexOf(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex');
}

export function base64Of(digest: Uint8Array): string {
  return Buffer.from(digest).toString('base64');
}

/** The entity tag of a multipart object: the MD5 of its parts' MD5s, and how many they are. */
export function etagOfParts(digests: readonly Uint8Array[]): string {
  return `${hexOf(md5Of(Buffer.concat(digests)))}-${digests.length}`;
}

/** CRC-32 of a part in base64, big-endian: S3's x-amz-checksum-crc32. */
export function crc32Of(bytes: Uint8Array): string {
  const digest = Buffer.alloc(4);
  digest.writeUInt32BE(Bun.hash.crc32(bytes));
  return digest.toString('base64');
}
