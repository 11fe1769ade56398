/** How many members a set may ever have (`maxelem`), which the kernel fixes when the set is made. */

/** The kernel's own default. */
const least = 65_536;

/** A power of two with a quarter to spare, so that sets seldom have to be made anew while they grow. */
export function maxElements(memberCount: number): number {
  let limit = least;
  while (limit < memberCount * 1.25) limit *= 2;
  return limit;
}
