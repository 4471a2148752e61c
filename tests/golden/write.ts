/*
 * Rewrites the golden files of this folder. To be run when what is written was changed on purpose; the diff of what
 * the files hold is then part of that change.
 */
import { GOLDEN_FILES, writeGoldenFiles } from '../support/golden-files.ts';

await writeGoldenFiles();
console.log(`${GOLDEN_FILES.length} golden files written`);
