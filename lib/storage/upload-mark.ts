/** Name of the mark among what users may have a store keep with an object: the object is known again by it. */
export const UPLOAD_MARK = 'upload-mark';
