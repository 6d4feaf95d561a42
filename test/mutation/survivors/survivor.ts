/** A mutant that no test can notice, because nothing that anybody relies on changes; with the reason. */
export interface Survivor {
  file: string;
  /** The line before and after the change, trimmed. */
  before: string;
  after: string;
  why: string;
}
