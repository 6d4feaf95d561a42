import { isAlreadyExists, isConflict, isNotFound } from '../api/status.ts';

/** Who loses this often does not lose by chance. */
const attemptsMax = 5;

/** What `work` gives, which looks before it writes; it is done anew a few times when another writer was quicker. */
export async function despiteRaces<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const isRaced = isAlreadyExists(error) || isConflict(error) || isNotFound(error);
      if (!isRaced || attempt === attemptsMax) throw error;
    }
  }
}
