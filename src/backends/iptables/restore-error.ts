/** Reads iptables-restore's complaints: was it the kernel that refused, and which line. */
import { RefusedError } from '../backend.ts';
import type { CommandError } from '../exec.ts';

/** A line number is named, but the cause is not the text: another try may succeed. */
const passing =
  /Resource temporarily unavailable|Cannot allocate memory|Permission denied|Interrupted system call|xtables lock/;

/**
 * `chainOfLine`: what each input line is about. The named line is trusted unless it is the frame (COMMIT): legacy names COMMIT
 * for everything that the kernel itself refuses, nf_tables for jumps to missing chains.
 * Undefined: not a refusal of our text.
 */
export function refusalOf(error: CommandError, chainOfLine: readonly (string | undefined)[]): RefusedError | undefined {
  const { stderr, exitCode } = error;
  const line = /\bline:? (\d+)/.exec(stderr)?.[1];
  if (exitCode === undefined || line === undefined || passing.test(stderr)) return undefined;
  const culprit = chainOfLine[Number(line) - 1];
  return new RefusedError(
    { message: shortened(stderr), ...(culprit === undefined ? {} : { culprit }) },
    { cause: error },
  );
}

/** Without version banners and hints: `line 3: RULE_APPEND failed (Invalid argument): rule in chain cali-r` */
function shortened(stderr: string): string {
  const lines = stderr
    .split('\n')
    .map((line) =>
      line
        .replace(/^ip6?tables[\w-]* v[\d.]+( \(\w+\))?: ?/, '')
        .replace(/^ip6?tables[\w-]*: ?/, '')
        .trim(),
    )
    .filter((line) => line !== '' && !line.startsWith('Try `') && !/^Error occurred at line: \d+$/.test(line));
  return lines.length === 0 ? stderr.trim() : lines.join('; ');
}
