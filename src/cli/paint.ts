/** Colours of a terminal for the meanings that text has. */
import type { Paint } from '../explain/paint.ts';
import { plainPaint } from '../explain/paint.ts';

export function terminalPaint(hasColour: boolean): Paint {
  if (!hasColour) return plainPaint;
  return { good: inColour(32), bad: inColour(31), strong: inColour(1), faint: inColour(2) };
}

function inColour(code: number): (text: string) => string {
  return (text) => `\u001B[${code}m${text}\u001B[0m`;
}
