import { expect, test } from 'bun:test';
import { uploadQuestion } from '../../../lib/cli/present.ts';

test('uploadQuestion() tells how much goes from where to where', () => {
  const upload = {
    path: '/tmp/qdrant-export/docs/ndjson-gz.parquet',
    bytes: 1_200_000_000,
    location: 's3://b/docs/latest.parquet',
  };
  expect(uploadQuestion(upload)).toBe(
    'Upload 1.2 GB (/tmp/qdrant-export/docs/ndjson-gz.parquet) to s3://b/docs/latest.parquet?',
  );
});
