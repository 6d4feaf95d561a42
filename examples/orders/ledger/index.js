/** Books each receipt, and closes the day when the nightly ping asks for it. Returns nothing: it is the last. */
export function handle(context, event) {
  if (event.type === 'receipt.issued') {
    const { orderId, customer, amount } = event.data;
    context.log.info(`booked ${amount} from ${customer} for order ${orderId}`);
  } else {
    context.log.info(`day closed on ${event.type} (${JSON.stringify(event.data)})`);
  }
}
