import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { malformed } from './proto-reader.ts';

/**
 * Deepest nesting that is read, in messages. A collection's metadata is JSON of up to 128 levels (serde_json's
 * limit, Qdrant's), and each takes two messages: the schemas' own limit of 100 is too low.
 */
const MOST_MESSAGES_DEEP = 1_024;

/** A small answer; fields that the schema does not know are left out. Bytes that are no such message are a ToolError. */
export function decoded<Desc extends DescMessage>(schema: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes, { recursionLimit: MOST_MESSAGES_DEEP, readUnknownFields: false });
  } catch (error) {
    throw malformed(error);
  }
}
