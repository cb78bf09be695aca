"""A price book to begin with: `billing prices example` prints it, the demo has it."""

from typing import Final

TEXT: Final = """\
# What customers are charged. Amounts are whole cents of the currency; docs/billing.md says the rest.
version: 1
name: Example prices
currency: USD
plans:
  gold:
    minimum: 50000
    items:
      - item: Managed endpoint protection
        metric: sensor_retained
        measure: peak
        unit: sensors
        pricing: graduated
        tiers:
          - {from: 1, to: 100, cents: 1400}
          - {from: 101, to: 500, cents: 1150}
          - {from: 501, cents: 900}
      - {item: Outputs, metric: output_bytes_tx, per: 1000000000, unit: GB, cents: 25}
      - {item: Platform, metric: organization, cents: 25000}
  silver:
    items:
      - item: Managed endpoint protection
        metric: sensor_retained
        measure: peak
        unit: sensors
        pricing: volume
        tiers:
          - {from: 1, to: 50, cents: 1100}
          - {from: 51, to: 250, cents: 950}
          - {from: 251, cents: 800}
      - {item: Outputs, metric: output_bytes_tx, per: 1000000000, unit: GB, cents: 30}
      - {item: Platform, metric: organization, cents: 12500}
      - {item: Analysts, metric: analyst_seconds, per: 900, unit: quarter hours, cents: 3500}
  bronze:
    items:
      - item: Monitored sensors
        metric: peak_sensors
        measure: average
        blocks: exact
        unit: sensors
        cents: 600
      - {item: Platform, metric: organization, cents: 5000}
apply:
  - {label: tier=gold, plan: gold}
  - {label: tier=silver, plan: silver}
  - {plan: bronze}
costs:
  analyst_hour: 6500
  contract:
    - {sku: sensor-month, metric: sensor_retained, measure: peak, cents: 250}
    - {sku: insight-retention, metric: sensor_retained, measure: peak, cents: 40}
    - {sku: output-gb, metric: output_bytes_tx, per: 1000000000, cents: 15}
    - {sku: replay-evals, metric: replay_num_evals, per: 1000, cents: 1}
"""
