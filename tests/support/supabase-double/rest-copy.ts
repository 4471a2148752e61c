import { copyFile } from 'node:fs/promises';
import { checkKey, type StoredObject } from './bucket-store.ts';
import { described } from './described.ts';
import { refusals, StorageRefusal } from './refusal.ts';
import { jsonAnswer, jsonBody, type RestCall } from './rest-call.ts';

export async function copyObject(call: RestCall): Promise<Response> {
  const { store, request } = call;
  const { source, destination, key } = await endsOf(call);
  const found = source.objects.get(key.from);
  if (found === undefined || call.role() !== 'service_role') throw refusals.noKey();
  if (destination === undefined) {
    throw new StorageRefusal(404, 'InvalidRequest', 'The related resource does not exist', 'InvalidRequest');
  }
  if (destination.objects.has(key.to) && request.headers.get('x-upsert') !== 'true') {
    throw refusals.exists('KeyAlreadyExists');
  }
  const version = crypto.randomUUID();
  const file = store.newFile(version);
  await copyFile(found.file, file);
  const copy: StoredObject = await store.put(destination, { ...found, key: key.to, version, file });
  const { name, id, ...rest } = described(copy, key.to);
  const facts = {
    bucket_id: destination.id,
    owner: '',
    owner_id: '',
    version,
    id,
    user_metadata: copy.metadata,
  };
  return jsonAnswer({ Key: `${destination.id}/${key.to}`, Id: id, name, ...facts, ...rest });
}

export async function moveObject(call: RestCall): Promise<Response> {
  const { store } = call;
  const { source, destination, key } = await endsOf(call);
  const found = source.objects.get(key.from);
  if (found === undefined || call.role() !== 'service_role') throw refusals.noKey();
  if (destination === undefined) throw refusals.noBucket();
  if (destination !== source || key.from !== key.to) {
    if (destination.objects.has(key.to)) throw refusals.exists('ResourceAlreadyExists');
    const version = crypto.randomUUID();
    const file = store.newFile(version);
    await copyFile(found.file, file);
    await store.put(destination, { ...found, key: key.to, version, file });
    await store.remove(source, key.from);
  }
  return jsonAnswer({ message: 'Successfully moved' });
}

async function endsOf(call: RestCall) {
  const { bucketId, sourceKey, destinationBucket, destinationKey } = await jsonBody(call);
  call.role();
  const to = String(destinationKey);
  const bucket = String(bucketId);
  const target = String(destinationBucket ?? bucket);
  checkKey(to, target, call.store.backend);
  const source = call.store.bucket(bucket);
  return { source, destination: call.store.buckets.get(target), key: { from: String(sourceKey), to } };
}
