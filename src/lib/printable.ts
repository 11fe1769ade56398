/** Text of users on its way to a terminal: one line, and nothing in it that moves a cursor or turns the direction of writing. */

const limit = 1000;

/** `a\u000ab` for a line end, and so for every control, separator and direction mark; cut with `...` where it is longer than 1,000 characters. */
export function printable(text: string): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}...` : text;
  return cut.replaceAll(unprintable, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

// oxlint-disable-next-line no-control-regex -- these are what is looked for
const unprintable = /[\u0000-\u001F\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g;
