/** Logs each mistake once: when it appears, and when it is gone. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import { formatDiagnostic } from '../lib/diagnostic.ts';
import type { Logger } from '../telemetry/logger.ts';

export class DiagnosticLog {
  readonly #logger: Logger;
  #known = new Map<string, Diagnostic>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** `present`: all that are there now. */
  update(present: readonly Diagnostic[]): void {
    const next = new Map(present.map((diagnostic) => [formatDiagnostic(diagnostic), diagnostic]));
    for (const [text, diagnostic] of next) if (!this.#known.has(text)) this.#report(diagnostic);
    for (const [text, { object, message }] of this.#known) {
      if (next.has(text)) continue;
      if (object === '') this.#logger.info({ part: 'source', message }, 'source recovered');
      else this.#logger.info({ object, message }, 'mistake was mended');
    }
    this.#known = next;
  }

  #report({ severity, ...fields }: Diagnostic): void {
    const { object, ...rest } = fields;
    // Of no object: the place that they come from, a file or an API server.
    if (object === '')
      this.#logger[severity === 'error' ? 'error' : 'warn']({ part: 'source', ...rest }, 'source failed');
    else if (severity === 'error') this.#logger.error(fields, 'object was not understood');
    else this.#logger.warn(fields, 'object looked wrong');
  }
}
