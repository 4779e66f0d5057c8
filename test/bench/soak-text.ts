// A soak as people read it: how much larger everything is at the end. Pure.
import { inColumns } from "./figure-text.ts";
import type { Trend } from "./soak-trend.ts";

export function trendTableOf(trends: readonly Trend[]): string[] {
  if (trends.length === 0) return [];
  const lines = trends.map(({ name, second, last, percent }) => [
    name,
    second.toFixed(1),
    last.toFixed(1),
    `${percent >= 0 ? "+" : ""}${percent.toFixed(1)}`,
  ]);
  return inColumns([["soak", "second fifth", "last fifth", "%"], ...lines], (column) => column === 0);
}
