import manifest from '../../package.json' with { type: 'json' };

/** The version of all three programs; bundled, so that executables know it too. */
export const VERSION: string = manifest.version;
