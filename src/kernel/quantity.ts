/** A whole number with what is counted, for people: `1 record`, `1,234 records`. @param noun in the singular; one whose plural ends in s */
export function quantity(value: number, noun: string): string {
  return `${value.toLocaleString('en-US')} ${noun}${value === 1 ? '' : 's'}`;
}
