// JSON of texts, for those who put lines together field by field. Keys and values that need no escape, as nearly all, are taken as
// they are and copied once, when the line is written.

/** What JSON escapes. Surrogates are judged by JSON.stringify, which knows whether they are paired. */
// oxlint-disable-next-line no-control-regex
const ESCAPED = /["\\\u0000-\u001f\ud800-\udfff]/;

/** What stands between the quotes. */
export function escaped(text: string): string {
  return ESCAPED.test(text) ? JSON.stringify(text).slice(1, -1) : text;
}
