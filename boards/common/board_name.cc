#include "boards/common/board.h"

const char kBoardName[] = BOARD_NAME;
