/** JSON lines by pino. The message is static and in the past tense; everything that varies is a field. */
import pino from 'pino';
import type { DestinationStream } from 'pino';
import type { LogFields } from './fields.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';

/** What edge classes take in their constructors. `error`: a person must act; `warn`: retried by itself; `info`: state changed. */
export interface Logger extends Readonly<Record<LogLevel, (fields: LogFields, message: string) => void>> {
  /** Every line of the child carries `fields` too. */
  child(fields: LogFields): Logger;
}

/** Lines go to standard output, or to `destination`. */
export function createLogger(level: LogLevel, destination?: DestinationStream): Logger {
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: serializeError },
    // `message` is the field of a diagnostic; ours is the static text.
    messageKey: 'msg',
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** pino's own serializer drops what a CommandError knows unless it is enumerable, and hides causes in one string. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const facts = Object.fromEntries(Object.entries(error).filter(([key]) => key !== 'cause' && key !== 'name'));
  return {
    ...facts,
    type: error.name,
    message: error.message,
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
    stack: error.stack,
  };
}
