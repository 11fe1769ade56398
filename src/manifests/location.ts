/** Where an object was first written, carried through files that a program wrote from it. */
import type { ManifestLocation, Mistake } from '../cluster/objects.ts';

/** The lab's agents read complete objects that the lab wrote; by this they can still name the user's file and line. */
export const locationAnnotation = 'sluice.io/location';

export function formatLocation(location: ManifestLocation): string {
  const { file, line, lines } = location;
  return JSON.stringify({ file, line, lines: Object.fromEntries(lines) });
}

/** Undefined where the text is not what `formatLocation` writes. */
export function parseLocation(text: string): ManifestLocation | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || !isRecord(value['lines'])) return undefined;
  const { file, line, lines } = value;
  if (typeof file !== 'string' || typeof line !== 'number') return undefined;
  const entries = new Map<string, number>();
  for (const [path, at] of Object.entries(lines)) if (typeof at === 'number') entries.set(path, at);
  return { file, line, lines: entries };
}

/** A malformed policy is written without its rules: by this its reader still knows that it had some, and where the mistake is. */
export const mistakeAnnotation = 'sluice.io/mistake';

export function formatMistake({ path, line }: Mistake): string {
  return JSON.stringify({ path, line });
}

/** Undefined where the text is not what `formatMistake` writes. */
export function parseMistake(text: string): Mistake | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || typeof value['path'] !== 'string') return undefined;
  const { path, line } = value;
  return { path, ...(typeof line === 'number' ? { line } : {}) };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
