interface Context {
  log: { info(message: string): void };
}

interface CloudEvent<T> {
  id: string;
  type: string;
  source: string;
  data: T;
}

interface PlacedOrder {
  id: string;
  customer: string;
  currency: string;
  totalCents: number;
}

/** Answers an order with its receipt: what is returned goes back to the broker as the next event. */
export function handle(context: Context, event: CloudEvent<PlacedOrder>) {
  const order = event.data;
  context.log.info(`receipt for order ${order.id}`);
  return {
    specversion: '1.0',
    id: `receipt-${order.id}`,
    type: 'receipt.issued',
    source: '/receipts',
    datacontenttype: 'application/json',
    data: {
      orderId: order.id,
      customer: order.customer,
      amount: `${(order.totalCents / 100).toFixed(2)} ${order.currency}`,
    },
  };
}
