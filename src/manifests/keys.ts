/** Names of objects as keys. A string that is put together anew is hashed anew, so each object's are made once. */
interface Named {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

const places = new WeakMap<Named, string>();
const identities = new WeakMap<Named, string>();

/** `namespace/name`, or the name alone. */
export function placeOf(object: Named): string {
  const known = places.get(object);
  if (known !== undefined) return known;
  const place = object.namespace === undefined ? object.name : `${object.namespace}/${object.name}`;
  places.set(object, place);
  return place;
}

/** Identity of an object among all: kind and `namespace/name`. */
export function identityOf(object: Named): string {
  const known = identities.get(object);
  if (known !== undefined) return known;
  const identity = `${object.kind} ${placeOf(object)}`;
  identities.set(object, identity);
  return identity;
}
