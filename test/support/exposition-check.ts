// Reads metrics as Prometheus does, and complains about what its own checker (promtool check metrics) would refuse: a family without HELP
// or TYPE, or split in two, a name or label that is none, a series twice, a counter whose name does not say so, a histogram whose buckets
// do not grow up to its count.

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface ReadFamily {
  readonly name: string;
  type: string | undefined;
  help: string | undefined;
  readonly samples: ReadSample[];
}

export interface Exposition {
  readonly families: ReadonlyMap<string, ReadFamily>;
  readonly complaints: readonly string[];
  /** The value of the one series with at least these labels. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/y;

export function readExposition(text: string): Exposition {
  const families = new Map<string, ReadFamily>();
  const complaints: string[] = text.endsWith("\n") ? [] : ["the last line does not end"];
  const seen = new Set<string>();
  let current: ReadFamily | undefined;
  for (const line of text.split("\n").slice(0, -1)) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME})(?: (.*))?$`).exec(line);
    if (comment) {
      const [, kind, name = "", rest = ""] = comment;
      if (current?.name !== name) {
        if (families.has(name)) complaints.push(`${name} is split`);
        current = { name, type: undefined, help: undefined, samples: [] };
        families.set(name, current);
      }
      if (kind === "HELP") current.help = rest;
      else current.type = rest;
    } else if (line !== "") {
      const sample = readSample(line);
      if (!sample) complaints.push(`no sample: ${line}`);
      else if (!current || !belongs(sample.name, current)) complaints.push(`${sample.name} stands outside its family`);
      else current.samples.push(sample);
      const series = sample && `${sample.name} ${labelKey(sample.labels)}`;
      if (series !== undefined && seen.has(series)) complaints.push(`twice: ${line}`);
      if (series !== undefined) seen.add(series);
    }
  }
  complaints.push(...[...families.values()].flatMap(familyComplaints));
  const all = [...families.values()].flatMap(({ samples }) => samples);
  return { families, complaints, value: (name, labels = {}) => all.find((one) => matches(one, name, labels))?.value };
}

function readSample(line: string): ReadSample | undefined {
  const [, name, labelText, valueText = ""] = SAMPLE.exec(line) ?? [];
  const value = { "+Inf": Infinity, "-Inf": -Infinity }[valueText] ?? Number(valueText);
  if (name === undefined || (Number.isNaN(value) && valueText !== "NaN" && valueText !== "Nan")) return undefined;
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  const whole = labelText ?? "";
  while (LABEL.lastIndex < whole.length) {
    const found = LABEL.exec(whole);
    if (!found) return undefined;
    labels[found[1] ?? ""] = found[2] ?? "";
  }
  return { name, labels, value };
}

function belongs(name: string, { name: family, type }: ReadFamily): boolean {
  const suffixes =
    type === "histogram" ? ["_bucket", "_sum", "_count"] : type === "summary" ? ["", "_sum", "_count"] : [""];
  return suffixes.some((suffix) => name === `${family}${suffix}`);
}

function familyComplaints({ name, type, help, samples }: ReadFamily): string[] {
  const complaints: string[] = [];
  if (help === undefined || help === "") complaints.push(`${name} has no HELP`);
  if (type === undefined) complaints.push(`${name} has no TYPE`);
  if (type === "counter" && !name.endsWith("_total")) complaints.push(`${name} is a counter and does not say so`);
  if (type !== "counter" && name.endsWith("_total")) complaints.push(`${name} is no counter and says so`);
  if (samples.some(({ value }) => type === "counter" && !(value >= 0))) complaints.push(`${name} is negative`);
  if (type !== "summary" && samples.some(({ labels }) => "quantile" in labels))
    complaints.push(`${name} is no summary and has quantiles`);
  if (type === "histogram") complaints.push(...histogramComplaints(name, samples));
  return complaints;
}

function histogramComplaints(name: string, samples: readonly ReadSample[]): string[] {
  const groups = new Map<string, { bounds: number[]; counts: number[]; count: number | undefined; sum: boolean }>();
  for (const { name: own, labels, value } of samples) {
    const { le, ...rest } = labels;
    const key = labelKey(rest);
    const group = groups.get(key) ?? { bounds: [], counts: [], count: undefined, sum: false };
    groups.set(key, group);
    if (own.endsWith("_count")) group.count = value;
    else if (own.endsWith("_sum")) group.sum = true;
    else {
      group.bounds.push(le === "+Inf" ? Infinity : Number(le));
      group.counts.push(value);
    }
  }
  return [...groups.values()].flatMap(({ bounds, counts, count, sum }) => {
    const complaints: string[] = [];
    if (bounds.at(-1) !== Infinity || counts.at(-1) !== count || !sum) complaints.push(`${name} is not whole`);
    if (bounds.some((bound, index) => index > 0 && bound <= (bounds[index - 1] ?? 0)))
      complaints.push(`${name}: bounds do not grow`);
    if (counts.some((value, index) => index > 0 && value < (counts[index - 1] ?? 0)))
      complaints.push(`${name}: buckets are not cumulative`);
    return complaints;
  });
}

/** The same for the same labels in any order. */
function labelKey(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function matches(sample: ReadSample, name: string, labels: Readonly<Record<string, string>>): boolean {
  return sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value);
}
