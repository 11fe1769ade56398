/**
 * One kind of object as the API server has it: lists and watches become changes. Pure: it says what to ask next and takes the
 * answers; whoever asks for it may fail, wait and ask again at any point, and half a list is never taken for a whole one.
 */
import type { ClusterObject, ObjectKind } from '../cluster/objects.ts';
import type { ClusterChange } from '../cluster/state.ts';
import { sameValue } from '../lib/same-value.ts';

/** What to ask the API server for next. */
export type Ask =
  /** A page of a list; the first without a token. */
  | { readonly kind: 'list'; readonly continueToken?: string }
  /** Everything that happened since. */
  | { readonly kind: 'watch'; readonly resourceVersion: string };

/** An object as it was read; without `object` where it is of no use. */
export interface ReadObject {
  readonly key: string;
  readonly uid: string;
  readonly object?: ClusterObject;
}

export interface ListPage {
  readonly items: readonly ReadObject[];
  readonly resourceVersion: string;
  /** Absent on the last page. */
  readonly continueToken?: string;
}

export type WatchEvent =
  | { readonly type: 'set' | 'delete'; readonly read: ReadObject; readonly resourceVersion: string }
  | { readonly type: 'bookmark'; readonly resourceVersion: string };

export class Reflector {
  readonly #kind: ObjectKind;
  readonly #known = new Map<string, ClusterObject>();
  #ask: Ask = { kind: 'list' };
  /** Pages of a list that is not complete yet. */
  #pages: Map<string, ReadObject> = new Map();
  #isComplete = false;

  constructor(kind: ObjectKind) {
    this.#kind = kind;
  }

  get ask(): Ask {
    return this.#ask;
  }

  /** A whole list was taken once: from here on the kind is known. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  has(key: string): boolean {
    return this.#known.has(key);
  }

  /** The API server does not know the kind, and so has none of it. */
  takeAbsence(): readonly ClusterChange[] {
    this.startAgain();
    this.#isComplete = true;
    return [...this.#known.keys()].flatMap((key) => this.#delete(key));
  }

  /** The changes that make what is known into the list, once it is whole. */
  takePage({ items, resourceVersion, continueToken }: ListPage): readonly ClusterChange[] {
    // An object that moves while pages are fetched may stand on two of them.
    for (const item of items) this.#pages.set(item.key, item);
    if (continueToken !== undefined) {
      this.#ask = { kind: 'list', continueToken };
      return [];
    }
    const listed = this.#pages;
    this.#pages = new Map();
    this.#ask = { kind: 'watch', resourceVersion };
    this.#isComplete = true;
    const gone = [...this.#known.keys()].filter((key) => !listed.has(key));
    return [...gone.flatMap((key) => this.#delete(key)), ...[...listed.values()].flatMap((item) => this.#set(item))];
  }

  takeEvent(event: WatchEvent): readonly ClusterChange[] {
    this.#ask = { kind: 'watch', resourceVersion: event.resourceVersion };
    switch (event.type) {
      case 'set':
        return this.#set(event.read);
      case 'delete':
        return this.#delete(event.read.key);
      default:
        return [];
    }
  }

  /** 410: the version or the page token is too old. What is known stays until a new list is whole. */
  startAgain(): void {
    this.#pages = new Map();
    this.#ask = { kind: 'list' };
  }

  /** An object that says nothing new is no change; one with another uid is another object. One that cannot be read leaves what was known of it. */
  #set({ key, uid, object }: ReadObject): readonly ClusterChange[] {
    const before = this.#known.get(key);
    const gone = before !== undefined && before.uid !== uid ? this.#delete(key) : [];
    if (object === undefined || (before !== undefined && sameValue(before, object))) return gone;
    this.#known.set(key, object);
    return [...gone, { type: 'set', object }];
  }

  #delete(key: string): readonly ClusterChange[] {
    return this.#known.delete(key) ? [{ type: 'delete', kind: this.#kind, key }] : [];
  }
}
