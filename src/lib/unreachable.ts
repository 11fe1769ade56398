/** Marks the end of a switch over a union: it stops compiling when a variant is forgotten. */
export function unreachable(value: never): never {
  throw new Error(`unhandled variant: ${JSON.stringify(value)}`);
}
