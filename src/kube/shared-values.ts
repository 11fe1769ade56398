/** Values that many objects have alike (labels and ports of one Deployment's pods, namespaces, node names), kept once. */

/** So many different ones are remembered; then it begins anew, so that values that are never seen again do not pile up. */
const limit = 5000;

export class SharedValues {
  readonly #known = new Map<string, unknown>();

  /** The first value that was the same. Plain data only. */
  share<T>(value: T): T {
    const key = JSON.stringify(value);
    const known = this.#known.get(key);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- equal text is equal data
    if (known !== undefined) return known as T;
    if (this.#known.size >= limit) this.#known.clear();
    this.#known.set(key, value);
    return value;
  }
}
