import * as v from 'valibot';

/** What a customer sends. Prices are in cents. */
const orderSchema = v.strictObject({
  customer: v.pipe(v.string(), v.trim(), v.minLength(1)),
  items: v.pipe(
    v.array(
      v.strictObject({
        sku: v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/, 'a SKU is lower-case letters, digits and dashes')),
        quantity: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1000)),
        priceCents: v.pipe(v.number(), v.integer(), v.minValue(0)),
      }),
    ),
    v.minLength(1, 'an order has at least one item'),
  ),
});

export type Order = v.InferOutput<typeof orderSchema>;

export type Checked = { order: Order } | { problems: string[] };

/** The order, or one line for each thing that is wrong with it, naming the field. */
export function checkOrder(input: unknown): Checked {
  const result = v.safeParse(orderSchema, input);
  if (result.success) return { order: result.output };
  return { problems: result.issues.map((issue) => `${v.getDotPath(issue) ?? 'order'}: ${issue.message}`) };
}

export function totalCents(order: Order): number {
  return order.items.reduce((sum, item) => sum + item.quantity * item.priceCents, 0);
}
