"""What all experiments share: the command line, the steps of a study, cards, closing words."""
