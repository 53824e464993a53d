"""From scored arms and measured sets to statistics, figures and one self-contained HTML page."""
