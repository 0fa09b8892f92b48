// From values to pixels, and which values an axis names.

/** Returns a function from [low, high] to [from, to]. */
export function linear(low, high, from, to) {
  const factor = high === low ? 0 : (to - from) / (high - low);
  return (value) => (factor ? from + (value - low) * factor : (from + to) / 2);
}

/** Returns round values that cover [low, high], about `count` of them. */
export function ticks(low, high, count = 5) {
  const step = roundStep((high - low || Math.abs(high) || 1) / Math.max(1, count));
  const values = [];
  for (let place = Math.floor(low / step + 1e-9); place <= Math.ceil(high / step - 1e-9); place += 1)
    values.push(Number((place * step).toPrecision(12)));
  return values.length > 1 ? values : [values[0] - step, values[0], values[0] + step];
}

function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
}

/** Returns whole numbers of [low, high], for epochs and trials. */
export function wholeTicks(low, high, count) {
  const step = Math.max(1, Math.ceil(roundStep(Math.max(1, high - low) / Math.max(1, count))));
  const values = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) values.push(value);
  return values[0] === low || low % step === 0 ? values : [low, ...values.filter((value) => value - low >= step / 2)];
}
