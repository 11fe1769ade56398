declare const brandKey: unique symbol;

/** A string that only its own constructor function can make. */
export type Brand<Name extends string> = string & { readonly [brandKey]: Name };
