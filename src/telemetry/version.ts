import packageJson from '../../package.json' with { type: 'json' };

/** Sluice's own version, from package.json. */
export function sluiceVersion(): string {
  return packageJson.version;
}
