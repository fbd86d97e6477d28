"""One results folder for several runs and machines: claims of trials, shares of a plan, merged folders, stores."""
