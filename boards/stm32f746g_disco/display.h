// The panel of 480 x 272 pixels: yellow ground, one red dot.

#ifndef BOARDS_STM32F746G_DISCO_DISPLAY_H_
#define BOARDS_STM32F746G_DISCO_DISPLAY_H_

constexpr int kDisplayWidth = 480;
constexpr int kDisplayHeight = 272;
constexpr int kDotRadius = 10;

// Switches the panel on. Clock gates and pins of the controller are set up before.
void DisplayInit();

// Moves the dot to a centre in pixels from the top left corner. A centre that would put a part of
// the dot outside is moved inwards.
void DisplayDot(int x, int y);

#endif  // BOARDS_STM32F746G_DISCO_DISPLAY_H_
