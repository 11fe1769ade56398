/** The manifests as a whole cannot be read: no such directory, no permission, no watch. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
  readonly directory: string;

  constructor(directory: string, message: string, options?: ErrorOptions) {
    super(`manifests ${directory}: ${message}`, options);
    this.directory = directory;
  }
}
