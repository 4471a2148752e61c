import { mkdir, mkdtemp, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf, ToolError } from '../errors.ts';
import { fileDestination, fileStream } from './file.ts';
import { systemProblem } from './file-errors.ts';
import type { WorkFile } from './storage.ts';

/** A file in a folder of this run's own, so that two runs of one collection do not meet in it. */
export async function createWorkFile(workFolder: string, name: string): Promise<WorkFile> {
  const folder = await mkdir(workFolder, { recursive: true })
    .then(() => mkdtemp(join(workFolder, 'run-')))
    .catch((error: unknown) => {
      const why = systemProblem(error, dirname(dirname(workFolder))) ?? messageOf(error);
      throw new ToolError(
        'usage',
        `Cannot make the work folder "${workFolder}": ${why}. Set OUTPUT_TEMP_FOLDER.`,
        { cause: error },
      );
    });
  const path = join(folder, name);
  return {
    path,
    // What a crash of the machine leaves of it is of no use: nothing waits for the disk.
    destination: fileDestination({
      durable: false,
      whenFull: 'Set OUTPUT_TEMP_FOLDER to a folder with more room, or use --stream-upload.',
    }),
    open: () => fileStream(path),
    async remove() {
      await rm(folder, { recursive: true, force: true });
      // The collection's folder and the tool's go as well, unless another run has something in them.
      for (const parent of [workFolder, dirname(workFolder)]) await rmdir(parent).catch(() => {});
    },
  };
}
