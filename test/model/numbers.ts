/** A list of 32-bit integers that grows; far smaller than an array of numbers. */
export class Numbers {
  length = 0;
  private values = new Int32Array(1 << 14);

  push(value: number): void {
    if (this.length === this.values.length) {
      const larger = new Int32Array(this.values.length * 2);
      larger.set(this.values);
      this.values = larger;
    }
    this.values[this.length] = value;
    this.length += 1;
  }

  at(index: number): number {
    return this.values[index] as number;
  }

  set(index: number, value: number): void {
    this.values[index] = value;
  }
}
