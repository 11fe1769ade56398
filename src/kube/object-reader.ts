/** Objects of one kind, read and cut; what is wrong with each is remembered for as long as it is there. */
import type { Diagnostic } from '../lib/diagnostic.ts';
import { apiKeyOf, apiObjectOf, listOf, recordOf, textOf } from './api-object.ts';
import type { ApiObject } from './api-object.ts';
import { statusError } from './failures.ts';
import { KubeApiError } from './kube-api-error.ts';
import { Reading } from './reading.ts';
import type { ListPage, ReadObject, WatchEvent } from './reflector.ts';
import type { Resource } from './resources.ts';
import { SharedValues } from './shared-values.ts';

export class ObjectReader {
  readonly #resource: Resource;
  readonly #nodeName: string | undefined;
  readonly #problems = new Map<string, readonly Diagnostic[]>();
  readonly #shared = new SharedValues();
  #version = 0;

  /** `nodeName`: pods of other nodes are cut further. */
  constructor(resource: Resource, nodeName?: string) {
    this.#resource = resource;
    this.#nodeName = nodeName;
  }

  get diagnostics(): readonly Diagnostic[] {
    return [...this.#problems.values()].flat();
  }

  /** Differs when the diagnostics may do so. */
  get version(): number {
    return this.#version;
  }

  /** A whole answer to a list. */
  page(answer: unknown): ListPage {
    const json = recordOf(answer);
    const metadata = recordOf(json['metadata']);
    const resourceVersion = textOf(metadata['resourceVersion']);
    if (resourceVersion === undefined || !Array.isArray(json['items'])) {
      throw new KubeApiError('the answer is no list of objects, expected an API server', { failure: 'failed' });
    }
    const continueToken = textOf(metadata['continue']);
    return {
      items: listOf(json['items']).flatMap((item) => this.#read(apiObjectOf(item))),
      resourceVersion,
      ...(continueToken === undefined ? {} : { continueToken }),
    };
  }

  /** What a new list no longer has is not wrong any more either. */
  forgetProblems(isThere: (key: string) => boolean): void {
    for (const key of this.#problems.keys()) if (!isThere(key)) this.#setProblems(key, []);
  }

  /** One line of a watch. Throws KubeApiError where the API server ends the watch by it; undefined: a type that is not known. */
  event(line: string): WatchEvent | undefined {
    const { type, object: value } = recordOf(parsed(line));
    if (type === 'ERROR') throw errorOf(recordOf(value));
    if (type === 'BOOKMARK') {
      const resourceVersion = textOf(recordOf(recordOf(value)['metadata'])['resourceVersion']);
      return resourceVersion === undefined ? undefined : { type: 'bookmark', resourceVersion };
    }
    const object = apiObjectOf(value);
    // Without a version it could not be gone on from.
    if (object === undefined || object.resourceVersion === '') return undefined;
    const { resourceVersion } = object;
    if (type === 'DELETED') {
      const key = apiKeyOf(object);
      this.#setProblems(key, []);
      return { type: 'delete', read: { key, uid: object.uid }, resourceVersion };
    }
    const [read] = this.#read(object);
    const isSet = type === 'ADDED' || type === 'MODIFIED';
    return isSet && read !== undefined ? { type: 'set', read, resourceVersion } : undefined;
  }

  #read(object: ApiObject | undefined): readonly ReadObject[] {
    if (object === undefined) return [];
    const key = apiKeyOf(object);
    const reading = new Reading(this.#shared);
    const read = this.#resource.read(object, reading, this.#nodeName);
    const name = `${this.#resource.kind} ${key}`;
    this.#setProblems(
      key,
      reading.problems.map(({ severity, path, message }) => ({
        severity,
        object: name,
        message,
        ...(path === '' ? {} : { path }),
      })),
    );
    return [{ key, uid: object.uid, ...(read === undefined ? {} : { object: read }) }];
  }

  #setProblems(key: string, problems: readonly Diagnostic[]): void {
    if (problems.length === 0 && !this.#problems.has(key)) return;
    this.#version += 1;
    if (problems.length === 0) this.#problems.delete(key);
    else this.#problems.set(key, problems);
  }
}

/** A line that is no JSON comes from whatever stands between us and the API server: the watch is begun again. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new KubeApiError('a line of the watch is not JSON, expected an API server', {
      failure: 'failed',
      cause: error,
    });
  }
}

/** A Status in the place of an object. */
function errorOf(status: Readonly<Record<string, unknown>>): KubeApiError {
  const code = typeof status['code'] === 'number' ? status['code'] : 500;
  const isExpired = status['reason'] === 'Expired' || status['reason'] === 'Gone';
  const details = recordOf(status['details'])['retryAfterSeconds'];
  return statusError(isExpired ? 410 : code, textOf(status['message']) ?? 'the watch ended with an error', { details });
}
