#include "cli/man_page.h"

#include "catch.h"

namespace combiner {

TEST_CASE("man page: what roff would take for its own is escaped") {
  CLI::App app("Paint a\\b", "paint");
  app.add_option("file", "'tis .5 of a file\n.so it is, isn't it")->required();
  bool large = false;
  app.add_flag("-x,--ex-large", large, "Dots\n.TH and\n'quotes and `ticks`");
  app.add_option("--of", "Choose [so]")->type_name("N")->needs("-x")->default_str("-1");
  app.footer(".first\nlast");
  const std::string page = man_page(app);
  CHECK_THAT(page, contains(".SH NAME\npaint \\- Paint a\\eb\n"));
  CHECK_THAT(page, contains(".SH SYNOPSIS\n\\fBpaint\\fR [\\fIoptions\\fR] \\fIfile\\fR\n"));
  CHECK_THAT(page, contains(".PP\n\\&.first\nlast\n"));
  CHECK_THAT(page, contains("\n\\&\\(aqtis .5 of a file\n\\&.so it is, isn\\(aqt it. Required.\n"));
  CHECK_THAT(page, contains(".TP\n\\fB\\-x\\fR, \\fB\\-\\-ex\\-large\\fR\n"
                            "Dots\n\\&.TH and\n\\&\\(aqquotes and \\(gaticks\\(ga.\n"));
  CHECK_THAT(page, contains(".TP\n\\fB\\-\\-of\\fR \\fIN\\fR\n"
                            "Choose [so]. Default: \\-1. Only with \\-\\-ex\\-large.\n"));
  CHECK_THAT(page, contains(".SH EXIT STATUS\n.TP\n\\fB0\\fR\n"));
  CHECK_THAT(page, contains(".TP\n\\fBNO_COLOR\\fR\nWith it set, \\-\\-show shows nothing.\n"));
  CHECK_THAT(page, contains("\\fBCOLORTERM\\fR\ntruecolor or 24bit ") &&
                       contains("\\fBTERM\\fR\n") && contains("\\fBTMPDIR\\fR\n"));
}

TEST_CASE("man page: a subcommand and its program refer to each other") {
  CLI::App app("Paint", "paint");
  bool deep = false;
  app.add_flag("--deep", deep, "Deeply");
  CLI::App* const wall = app.add_subcommand("wall", "Paint a wall");
  app.require_subcommand(1);
  CHECK(man_page_name(*wall) == "paint-wall");
  CHECK_THAT(man_page(*wall), contains("\\fBpaint wall\\fR [\\fIoptions\\fR]\n"));
  CHECK_THAT(man_page(*wall), contains(".TP\n\\fB\\-\\-deep\\fR\nDeeply.\n"));
  CHECK_THAT(man_page(*wall), contains(".SH SEE ALSO\n\\fBpaint\\fR(1)\n"));
  CHECK_THAT(man_page(app), contains(".SH SUBCOMMANDS\n.TP\n\\fBwall\\fR\nPaint a wall.\n"));
  CHECK_THAT(man_page(app), contains(".SH SEE ALSO\n\\fBpaint\\-wall\\fR(1)\n"));
}

}  // namespace combiner
