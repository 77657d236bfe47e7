/** Whether something grows with time, by least squares; what it owes to the load of the moment is taken out. */

export interface Point {
  readonly time: number;
  readonly load: number;
  readonly value: number;
}

export interface Trend {
  /** Per unit of time. */
  readonly slope: number;
  /** Half of the 95 % confidence interval of the slope. */
  readonly margin: number;
  readonly mean: number;
  /** How far points lie from the line. */
  readonly deviation: number;
}

/** 95 % of a normal distribution lie within so many standard deviations. */
const Z = 1.96;

export function trendOf(points: readonly Point[]): Trend {
  const load = points.map((point) => point.load);
  const values = points.map((point) => point.value);
  // Frisch and Waugh: of both what the load does not explain; their line has the slope of the full regression.
  const time = lineThrough(
    load,
    points.map((point) => point.time),
  ).residuals;
  const { slope, residuals } = lineThrough(time, lineThrough(load, values).residuals);
  const variance = sumOfSquares(residuals) / (points.length - 3);
  // What is high is high for a while: such points say as much as fewer that know nothing of each other.
  const neighbours = residuals.slice(1).reduce((sum, residual, i) => sum + residual * residuals[i]!, 0);
  const likeness = Math.min(0.95, Math.max(0, neighbours / sumOfSquares(residuals)));
  return {
    slope,
    margin: Z * Math.sqrt((variance / sumOfSquares(time)) * ((1 + likeness) / (1 - likeness))),
    mean: mean(values),
    deviation: Math.sqrt(variance),
  };
}

function lineThrough(xs: readonly number[], ys: readonly number[]): { slope: number; residuals: number[] } {
  const [x0, y0] = [mean(xs), mean(ys)];
  const spread = sumOfSquares(xs.map((x) => x - x0));
  const common = xs.reduce((sum, x, i) => sum + (x - x0) * (ys[i]! - y0), 0);
  const slope = spread === 0 ? 0 : common / spread;
  return { slope, residuals: ys.map((y, i) => y - (y0 + slope * (xs[i]! - x0))) };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function sumOfSquares(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value ** 2, 0);
}
