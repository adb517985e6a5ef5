/** What `*` means, said as plainly as can be: it takes nothing, or one character and then goes on. */
export function modelMatches(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*') {
    return modelMatches(pattern.slice(1), text) || (text !== '' && modelMatches(pattern, text.slice(1)));
  }
  return pattern[0] === text[0] && modelMatches(pattern.slice(1), text.slice(1));
}

/** The same for long texts, one character after another: in time proportional to the product of both lengths. */
export function slowMatches(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let starText = 0;
  while (t < text.length) {
    if (pattern[p] === '*') {
      star = p++;
      starText = t;
    } else if (p < pattern.length && pattern[p] === text[t]) {
      p += 1;
      t += 1;
    } else if (star >= 0) {
      // The last `*` takes one character more; earlier ones need not be tried again.
      p = star + 1;
      t = ++starText;
    } else {
      return false;
    }
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}
