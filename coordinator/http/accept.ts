// Accept: which form of an answer the client would rather have (RFC 9110, 12.5.1). Only what few fixed forms need: quality values and
// wildcards; parameters of a media type other than q are looked over.

interface Range {
  readonly type: string;
  readonly quality: number;
}

/**
 * @param offered Media types in lower case; the first is the one for clients without a preference.
 * @returns the one that the client likes best; undefined where it takes none
 */
export function preferred<Type extends string>(accept: string | undefined, offered: readonly Type[]): Type | undefined {
  if (accept === undefined || accept.trim() === "") return offered[0];
  const ranges = accept.split(",").map(rangeOf);
  let best: { readonly type: Type; readonly quality: number } | undefined;
  for (const type of offered) {
    const quality = qualityOf(type, ranges);
    if (quality > (best?.quality ?? 0)) best = { type, quality };
  }
  return best?.type;
}

function rangeOf(text: string): Range {
  const [type = "", ...parameters] = text.split(";").map((part) => part.trim().toLowerCase());
  const q = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2);
  const quality = q === undefined ? 1 : Number(q);
  return { type, quality: Number.isFinite(quality) ? quality : 0 };
}

/** By the most specific range that covers the type; 0 where none does. */
function qualityOf(type: string, ranges: readonly Range[]): number {
  const family = `${type.split("/", 1)[0]}/*`;
  for (const candidate of [type, family, "*/*"]) {
    const range = ranges.find((one) => one.type === candidate);
    if (range) return range.quality;
  }
  return 0;
}
