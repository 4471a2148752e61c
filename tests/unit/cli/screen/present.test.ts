import { expect, test } from 'bun:test';
import { uploadQuestion } from '../../../../lib/cli/screen/present.ts';

test('uploadQuestion() tells how much goes from where to where', () => {
  const upload = {
    path: '/tmp/qdrant-export/docs/ndjson-gz.parquet',
    bytes: 1_200_000_000,
    files: 1,
    location: 's3://b/docs/latest.parquet',
  };
  expect(uploadQuestion(upload)).toBe(
    'Upload 1.2 GB (/tmp/qdrant-export/docs/ndjson-gz.parquet) to s3://b/docs/latest.parquet?',
  );
  expect(uploadQuestion({ ...upload, files: 1_200 })).toBe(
    'Upload 1.2 GB (/tmp/qdrant-export/docs/ndjson-gz.parquet) as 1,200 files to s3://b/docs/latest.parquet?',
  );
});
