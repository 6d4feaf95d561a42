/** RFC 3339, as Kubernetes reads times: seconds may have a fraction, the zone is required. */
const dateTime = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const uuid = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const ipv4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

const formats: Record<string, (text: string) => boolean> = {
  'date-time': (text) => dateTime.test(text) && !Number.isNaN(Date.parse(text)),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)),
  byte: (text) => base64.test(text),
  uuid: (text) => uuid.test(text),
  ipv4: (text) => ipv4.test(text),
  uri: (text) => URL.canParse(text),
};

/** The value in quotes when it is not of `format`; undefined when it is, or when the format is not one we know. */
export function formatError(format: string, text: string): string | undefined {
  const isOfFormat = formats[format];
  return !isOfFormat || isOfFormat(text) ? undefined : JSON.stringify(text);
}
