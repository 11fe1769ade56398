/** What the API server sends, before it is known what it is: plain JSON, looked at field by field. */
import type { Labels } from '../cluster/objects.ts';
import { flat } from '../lib/compact.ts';

export type Json = Readonly<Record<string, unknown>>;

/** An object of any kind: named, and with a version by which a watch goes on. */
export interface ApiObject {
  readonly name: string;
  /** Empty for kinds without namespaces. */
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly metadata: Json;
  /** The whole object. */
  readonly json: Json;
}

/** Undefined where the value has no metadata that names it: not an object of the API. */
export function apiObjectOf(value: unknown): ApiObject | undefined {
  const json = recordOf(value);
  const metadata = recordOf(json['metadata']);
  const name = textOf(metadata['name']);
  if (name === undefined) return undefined;
  return {
    name,
    namespace: textOf(metadata['namespace']) ?? '',
    uid: textOf(metadata['uid']) ?? '',
    resourceVersion: textOf(metadata['resourceVersion']) ?? '',
    metadata,
    json,
  };
}

/** `namespace/name`, or the name alone. */
export function apiKeyOf({ namespace, name }: ApiObject): string {
  return namespace === '' ? name : flat(namespace, '/', name);
}

/** A map of fields; anything else has none. */
export function recordOf(value: unknown): Json {
  return isJson(value) ? value : nothing;
}

/** A list; anything else is empty. */
export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A string that says something. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

export function labelsOf(value: unknown): Labels {
  const labels: Record<string, string> = {};
  for (const [key, text] of Object.entries(recordOf(value))) if (typeof text === 'string') labels[key] = text;
  return labels;
}

const nothing: Json = {};

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
