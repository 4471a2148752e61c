/** Loaded before the program: the random part that a pause between two attempts is becomes next to none. */
Math.random = () => 0.001;
